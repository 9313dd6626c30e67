"""What methods share that train a network: what is drawn, the one loop, class priors, thresholds, rounds."""
