"""What is made of a run when somebody asks: a page of all of it, and its trace."""
