"""What an assessment body wants to know of a scorer, as numbers, tables and one page."""
