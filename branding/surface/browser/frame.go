package browser

import (
	"time"

	"github.com/go-rod/rod"
)

// InFrame does something in the frame that selector finds. Until a frame's document has come,
// and whenever another follows, what was found in the one before is gone: what fails is done
// again, so it must be able to.
func (p *Page) InFrame(selector string, do func(frame *rod.Page) error) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		frame, err := p.find(selector).Frame()
		if err == nil {
			err = do(frame.Timeout(patience / 4))
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			must(p.t, "in the frame "+selector, err)
		}
	}
}

// FillFrame types into fields of a frame, such as the form of a payment service: each a
// selector and what is typed in place of what stands there.
func (p *Page) FillFrame(selector string, fields ...[2]string) {
	p.t.Helper()
	p.InFrame(selector, func(frame *rod.Page) error {
		for _, f := range fields {
			in, err := frame.Element(f[0])
			if err == nil {
				err = in.SelectAllText()
			}
			if err == nil {
				err = in.Input(f[1])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// WaitFrame waits until an element of a frame shows text (a regular expression).
func (p *Page) WaitFrame(selector, within, text string) {
	p.t.Helper()
	p.InFrame(selector, func(frame *rod.Page) error {
		_, err := frame.ElementR(within, text)
		return err
	})
}
