"""Methods that locate a fact and solve for the weights: keys, covariances, targets."""
