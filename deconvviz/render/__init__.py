"""Pictures out of arrays: compose pixels, write them to PNG files and to TensorBoard."""
