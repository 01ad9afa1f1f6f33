"""What is known of an exchange afterwards, and the lines that tell it."""
