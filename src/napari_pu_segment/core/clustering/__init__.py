"""Clusters of pixels and their names, without strokes; strokes made of a result."""
