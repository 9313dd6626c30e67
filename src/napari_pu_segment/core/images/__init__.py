"""What is measured of images before anything is learnt: intensities, stains, the rim, doubts."""
