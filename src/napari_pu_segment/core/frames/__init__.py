"""What changes with time: series, keograms and their axis."""
