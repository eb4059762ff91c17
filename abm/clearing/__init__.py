"""Clearing: admission, posting, margin, marks, funding, liquidation, backstop and audits; exact integers throughout."""
