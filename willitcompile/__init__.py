"""Does this source compile, with this compiler, at this standard?"""
