"""Small widgets that any panel may use; they edit a value and know no session."""
