"""Residual variants published since 2016. Nothing imports them: a configuration names them by `_target_`."""
