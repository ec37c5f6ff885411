//! A small recurrent network in whole numbers, with weights out of a seed.
//!
//! It is of no use but to be like those that are: its weights have four bits each, which a step has to fetch and unpack once,
//! whatever the number of sequences.

/// The sizes of a network, and what its weights are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// How many numbers a layer keeps of a sequence.
    pub(crate) width: usize,
    pub(crate) layers: usize,
    /// Tokens are below it.
    pub(crate) vocabulary: usize,
    pub(crate) seed: u64,
}

/// A network. What it keeps of a sequence is `layers * width` numbers, at first 0.
pub(crate) struct Network {
    sizes: Sizes,
    /// For each token a row.
    embedding: Matrix,
    /// For each layer a row for each number that it keeps.
    layers: Vec<Matrix>,
    /// For each token a row.
    logits: Matrix,
}

/// Rows of `width` weights, two to a byte.
struct Matrix(Vec<u8>);

/// What the four bits of a weight stand for: more of the small ones, as in a normal distribution.
const WEIGHTS: [i16; 16] = [-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127];

/// About the root of their mean square.
const TYPICAL_WEIGHT: usize = 64;

/// No number that is kept is larger: up to [`MAX_WIDTH`], every sum of products fits 32 bits.
const LIMIT: i32 = 2047;

/// The widest a network may be.
pub(crate) const MAX_WIDTH: usize = 4096;

impl Network {
    pub(crate) fn new(sizes: Sizes) -> Self {
        let Sizes { width, layers, vocabulary, seed } = sizes;
        let mut chance = Chance(seed);
        let mut matrix = |rows: usize| Matrix((0..rows * width / 2).map(|_| chance.byte()).collect());
        Self {
            embedding: matrix(vocabulary),
            layers: (0..layers).map(|_| matrix(width)).collect(),
            logits: matrix(vocabulary),
            sizes,
        }
    }

    /// How many numbers are kept of a sequence.
    pub(crate) fn state(&self) -> usize {
        self.sizes.layers * self.sizes.width
    }

    /// The next token of each sequence, from its last and its state, which is changed. A token past the vocabulary counts as 0.
    pub(crate) fn step(&self, tokens: &[i32], states: &mut [i16]) -> Vec<i32> {
        let width = self.sizes.width;
        let mut below = Vec::with_capacity(tokens.len() * width);
        tokens.iter().for_each(|token| self.embed(*token, &mut below));
        let mut sums = Vec::new();
        // So that numbers neither die out nor all reach the limit: a sum of `width` products.
        let shift = (TYPICAL_WEIGHT * TYPICAL_WEIGHT * width).ilog2() / 2;
        for (layer, weights) in self.layers.iter().enumerate() {
            // What comes from below meets what the layer kept.
            let kept =
                states.chunks(self.state()).flat_map(|state| state.iter().skip(layer * width).take(width));
            let inputs: Vec<i16> = below.iter().zip(kept).map(|(below, kept)| below + kept).collect();
            weights.multiply(&inputs, width, &mut sums);
            let squash = |sum: &i32| (sum >> shift).clamp(-LIMIT, LIMIT) as i16;
            for (at, (state, sums)) in states.chunks_mut(self.state()).zip(sums.chunks(width)).enumerate() {
                let state = state.iter_mut().skip(layer * width);
                let below = below.iter_mut().skip(at * width);
                for ((state, below), sum) in state.zip(below).zip(sums) {
                    *state = squash(sum);
                    *below = *state;
                }
            }
        }
        self.logits.multiply(&below, width, &mut sums);
        sums.chunks(self.sizes.vocabulary).map(largest).collect()
    }

    fn embed(&self, token: i32, below: &mut Vec<i16>) {
        let row = usize::try_from(token).ok().filter(|token| *token < self.sizes.vocabulary).unwrap_or(0);
        let mut rows = self.embedding.0.chunks(self.sizes.width / 2).skip(row);
        below.extend(rows.next().unwrap_or_default().iter().flat_map(|byte| unpack(*byte)));
    }
}

impl Matrix {
    /// The products with several vectors, one after the other, into `sums`. Each row is unpacked once, and then at hand.
    fn multiply(&self, vectors: &[i16], width: usize, sums: &mut Vec<i32>) {
        let height = self.0.len() * 2 / width;
        sums.clear();
        sums.resize(height * vectors.len() / width, 0);
        let mut row = vec![[0; 2]; width / 2];
        for (at, packed) in self.0.chunks(width / 2).enumerate() {
            row.iter_mut().zip(packed).for_each(|(pair, byte)| *pair = unpack(*byte));
            for (sum, vector) in sums.iter_mut().skip(at).step_by(height).zip(vectors.chunks(width)) {
                *sum = product(&row, vector.as_chunks().0);
            }
        }
    }
}

/// By pairs, for which processors have an instruction.
fn product(a: &[[i16; 2]], b: &[[i16; 2]]) -> i32 {
    let pair = |([a, b], [c, d]): (&[i16; 2], &[i16; 2])| {
        i32::from(*a) * i32::from(*c) + i32::from(*b) * i32::from(*d)
    };
    a.iter().zip(b).map(pair).sum()
}

fn unpack(byte: u8) -> [i16; 2] {
    [byte & 15, byte >> 4].map(|bits| WEIGHTS.get(usize::from(bits)).copied().unwrap_or(0))
}

/// Where the largest is, the first of several.
fn largest(values: &[i32]) -> i32 {
    let best = values.iter().enumerate().max_by_key(|(at, value)| (**value, std::cmp::Reverse(*at)));
    best.and_then(|(at, _)| i32::try_from(at).ok()).unwrap_or(0)
}

/// Vigna's splitmix64.
struct Chance(u64);

impl Chance {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 56) as u8
    }
}
