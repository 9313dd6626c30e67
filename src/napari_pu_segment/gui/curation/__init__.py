"""The dock of curation, and the way from image to image of a folder."""
