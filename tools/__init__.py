"""What the project's own work needs, and its users don't: measures of the tree, and mutation of the policies."""
