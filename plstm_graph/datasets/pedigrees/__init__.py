"""Pedigrees, and the best linear unbiased prediction of breeding values in them."""
