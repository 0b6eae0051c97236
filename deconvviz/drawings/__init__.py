"""Where the rooms meet: images, network input, maps, stitched rows, files."""
