"""A stand-in for Earth Engine: the REST protocol, and an evaluator of expressions over local rasters.

What it knows it knows from the interface's own description, which the client library brings along: a function
or an argument that is not in there is refused, and so is one that this stand-in does not evaluate.
"""
