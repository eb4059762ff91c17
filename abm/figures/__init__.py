"""Pictures of a run and of comparisons. Colours, type and panel headers live in `style` and `sheet`; the page uses them too."""
