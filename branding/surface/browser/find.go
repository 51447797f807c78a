package browser

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// ErrNone is returned by Find when the machine has no browser we can drive.
var ErrNone = errors.New("browser tests need Chromium or Chrome: install one (Debian: apt-get install chromium; macOS: brew install --cask chromium) " +
	"or name its program in EZSCALE_CHROMIUM")

// Find is the path of a Chromium, Chrome or Edge: the one EZSCALE_CHROMIUM names, one
// on the PATH, or one in the usual place of the system. Debian's program on the PATH is a
// script that adds extensions and settings for people: the program behind it is taken.
func Find() (string, error) {
	if named := os.Getenv("EZSCALE_CHROMIUM"); named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("EZSCALE_CHROMIUM: %w", err)
		}
		return named, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge"} {
		if path, err := exec.LookPath(name); err == nil {
			if _, err := os.Stat(behind); path == script && err == nil {
				return behind, nil
			}
			return path, nil
		}
	}
	for _, path := range usualPlaces() {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", ErrNone
}

// Debian's script and the program it starts.
const (
	script = "/usr/bin/chromium"
	behind = "/usr/lib/chromium/chromium"
)

func usualPlaces() []string {
	if runtime.GOOS != "darwin" {
		return []string{behind, "/snap/bin/chromium", "/opt/google/chrome/chrome"}
	}
	var places []string
	home, _ := os.UserHomeDir()
	for _, root := range []string{"/Applications", filepath.Join(home, "Applications")} {
		for _, app := range []string{"Chromium", "Google Chrome", "Microsoft Edge"} {
			places = append(places, filepath.Join(root, app+".app", "Contents", "MacOS", app))
		}
	}
	return places
}
