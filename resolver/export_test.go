package resolver

// Policies is what a Resolver needs of a *sts.Store, for fakes.
type Policies = policies

// NewWithPolicies is New with a fake store.
func NewWithPolicies(c Config, p Policies) (*Resolver, error) { return newResolver(c, p) }
