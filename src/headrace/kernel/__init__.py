"""What every component is built from; knows no component."""
