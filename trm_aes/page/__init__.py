"""The page: a scorer to try in a browser, served on this machine or in a Space of the Hub."""
