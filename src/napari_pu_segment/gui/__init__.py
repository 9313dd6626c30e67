"""The napari side: panels over the core, and the jobs and layers that connect them."""
