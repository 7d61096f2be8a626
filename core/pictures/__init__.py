"""A picture in, a picture out, and the recipe inside it."""
