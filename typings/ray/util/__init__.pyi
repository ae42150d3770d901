"""The part of ray.util that wsol uses."""
