"""What is fitted in closed form, before training and after it."""
