"""What an app is: fields, defaults, normalisation of deprecated fields, validation. Pure functions throughout."""
