"""What is known of model files, what can be measured of several side by side, and how one is made smaller.

Only measuring and compressing need torch; the rest reads headers.
"""
