"""A trained scorer on the Hub, with its model card."""
