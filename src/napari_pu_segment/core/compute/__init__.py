"""Where and in what pieces things are computed: tiles, blocks, devices, child processes, temporary folders."""
