//! A bounded load of short texts; prints the counts as JSON. It ends when its standard input does.
use clap::Parser;
use tokio::io::AsyncReadExt as _;
use tts_e2e::load::Load;

/// Sends short texts to a speech endpoint at a steady rate.
#[derive(Parser)]
struct Arguments {
    /// Without a path, for example <http://10.0.0.1>
    #[arg(long)]
    url: String,
    #[arg(long)]
    voice: String,
    #[arg(long, default_value_t = 20)]
    per_second: u32,
    /// Requests at most, however long the standard input stays open.
    #[arg(long, default_value_t = 3000)]
    most: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments {
        url,
        voice,
        per_second,
        most,
    } = Arguments::parse();
    // reqwest asks for a TLS provider even where every URL is plain http.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stop = async {
        let mut rest = Vec::new();
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    };
    let counts = Load {
        url,
        voice,
        per_second,
        most,
    }
    .run(stop)
    .await?;
    println!("{}", serde_json::to_string(&counts)?);
    Ok(())
}
