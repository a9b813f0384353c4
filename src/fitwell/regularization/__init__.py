"""What a strength means: the regularizers, the objective, grids of strengths, units of other libraries."""
