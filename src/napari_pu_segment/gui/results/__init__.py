"""The tabs Result, Objects and Time: from a probability to objects, their table and their classes."""
