"""The heart: a Keras model's graph, traced forward and reversed to pixels, a rule a step.

    graph → trace (forward, switches kept) → project (backward, by rules)

`deconvnet.Deconvnet` joins the three for callers; the other modules hold one idea each.
"""
