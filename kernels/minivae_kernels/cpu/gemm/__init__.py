"""Matrix products over panels of 32 columns: the register tile, the three products, the layout."""
