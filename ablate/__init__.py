"""An ablation harness for residual shortcuts: what does h(x) in x_{l+1} = f(h(x_l) + F(x_l)) do to training?"""

__version__ = "0.1.0"
