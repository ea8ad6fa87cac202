//! Downloads files of a model with hf-hub, the client of candle: `hf-hub-reader CACHE MODEL REVISION FILE...`.
//! HF_ENDPOINT names the server. Prints the path of each file; fails where one can't be downloaded.
use hf_hub::{api::sync::ApiBuilder, Repo, RepoType};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [cache, model, revision, files @ ..] = args.as_slice() else {
        return Err("usage: hf-hub-reader CACHE MODEL REVISION FILE...".into());
    };
    let api = ApiBuilder::from_env()
        .with_cache_dir(cache.into())
        .with_token(std::env::var("HF_TOKEN").ok())
        .with_progress(false)
        .build()?;
    let repository = api.repo(Repo::with_revision(model.clone(), RepoType::Model, revision.clone()));
    println!("{} files", repository.info()?.siblings.len());
    for file in files {
        println!("{}", repository.get(file)?.display());
    }
    Ok(())
}
