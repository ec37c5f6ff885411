use salver_plugins_sdk::testing::{load, run};
use salver_plugins_sdk::{Options, Platform, Probe, Shape, Tensor};

use crate::network::{Network, Sizes};
use crate::platform::Decoders;

const SIZES: Sizes = Sizes { width: 64, layers: 2, vocabulary: 32, seed: 7 };

fn prompt(tokens: &[i32]) -> Tensor {
    Tensor::from_vec(Shape::new(&[tokens.len() as i64]).unwrap(), tokens.to_vec()).unwrap()
}

#[test]
fn a_sequence_goes_the_same_way_whoever_shares_its_steps() {
    let network = Network::new(SIZES);
    let size = network.state();
    let mut together = vec![0i16; 7 * size];
    let mut tokens: Vec<i32> = (1..8).collect();
    let mut alone: Vec<_> = tokens.iter().map(|token| (*token, vec![0i16; size])).collect();
    for _ in 0..50 {
        tokens = network.step(&tokens, &mut together);
        for (token, state) in &mut alone {
            *token = network.step(&[*token], state)[0];
        }
        assert_eq!(tokens, alone.iter().map(|(token, _)| *token).collect::<Vec<_>>());
    }
    assert_eq!(together, alone.into_iter().flat_map(|(_, state)| state).collect::<Vec<_>>());
    assert!(together.iter().any(|number| *number != 0));
}

#[test]
fn a_prompt_is_continued_to_the_end_or_to_the_most_that_is_wanted() {
    let folder = std::env::temp_dir().join(format!("salver-decode-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("decode.txt"), "width 64 layers 2 vocabulary 32 seed 7").unwrap();
    assert_eq!(Decoders.probe(&folder), Probe::Match { file: "decode.txt".to_owned() });
    let model = load(&Decoders, &folder, &Options::new()).unwrap();
    let decode = |tokens: &[i32], most: i64| {
        let most = Tensor::from_vec(Shape::scalar(), vec![most]).unwrap();
        let outputs = run(&*model, &[("prompt", prompt(tokens)), ("most", most)])?;
        Ok::<_, salver_plugins_sdk::Status>(outputs[0].view().as_slice::<i32>().unwrap().to_vec())
    };
    let long = decode(&[3, 1, 4], 1000).unwrap();
    assert_eq!(long.iter().filter(|token| **token == 0).count(), 1);
    assert_eq!(long.last(), Some(&0));
    assert_eq!(decode(&[3, 1, 4], 2).unwrap(), long[..2]);
    assert_eq!(decode(&[], 10), Ok(vec![]));
    let refused = decode(&[3, 32], 10).unwrap_err();
    assert_eq!(refused.message(), "prompt holds the token 32, tokens are below 32");

    std::fs::write(folder.join("decode.txt"), "width 63 layers 2 vocabulary 32 seed 7").unwrap();
    let refused = load(&Decoders, &folder, &Options::new()).err().unwrap();
    assert!(refused.message().ends_with("width is 63, an even number was wanted"), "{refused}");
    std::fs::remove_dir_all(&folder).unwrap();
}
