"""Pictures of a run and of comparisons; colours and type live in `style`, panel headers in `sheet`."""
