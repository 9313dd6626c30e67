"""What touches the viewer: layers of ours, their pixels, axes and channels, strokes, and where one looks."""
