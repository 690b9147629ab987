"""What the pages read from the database, one module per page. A page asks a fixed number of questions, however long."""
