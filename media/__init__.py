"""What is carried: uploads in, downloads out."""
