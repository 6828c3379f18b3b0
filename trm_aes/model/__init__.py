"""What travels to the Hub: these files are copied beside the weights, and import nothing of ours but one another."""
