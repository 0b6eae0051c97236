"""What is found out about a network by running images through it."""
