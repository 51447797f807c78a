package api

// Slices are the parts of the shop whose matters the API's calls are.
type Slices struct{}

func (a *API) operations() []operation { return nil }
