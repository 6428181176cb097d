"""Molecules: tables of SMILES, ChEMBL's that come with RDKit, OGB's, LRGB's peptides, TU's; fingerprints and splits."""
