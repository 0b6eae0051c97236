"""`python -m deconvviz` is `deconvviz`."""

from deconvviz.cli import main

main()
