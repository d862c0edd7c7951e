import { init, compile } from "@lowrank/tensor";
import { MaskedModel } from "./src/pretrain/masked-model.ts";
import { loadPretrainConfig } from "./src/pretrain/config.ts";
import { loadCorpus } from "./src/data/corpus.ts";
import { loadWordTokenizer } from "./src/data/word-piece.ts";
import { MaskedStream } from "./src/pretrain/order.ts";
const d="/work/shared/data", c="/tmp/lrcache";
const tok=loadWordTokenizer(d);
const set=loadCorpus({dataFolder:d,cacheFolder:c,sources:["wikitext-2"],length:64},tok);
const cfg=loadPretrainConfig("small", process.argv.slice(2));
const ms=new MaskedStream(set,{tokensPerBatch:cfg.train.tokensPerBatch,probability:.15,special:tok.special,vocabSize:tok.vocabSize,seed:1});
const device=await init({device:"wasm"});
const m=await MaskedModel.create(cfg,tok.vocabSize,()=>1e-4,device);
const step=compile(device,(i:any)=>m.trainStep(i));
const inp=(b:any)=>({inputIds:{data:b.inputIds,shape:[b.rows,b.length],dtype:"i32"},attentionMask:{data:b.attentionMask,shape:[b.rows,b.length],dtype:"bool"},positions:{data:b.positions,shape:[b.positions.length],dtype:"i32"},labels:{data:b.labels,shape:[b.labels.length],dtype:"i32"}}) as any;
for(let i=0;i<2;i++){const t=performance.now();const o=await step(inp(ms.batch(i)));console.log((await o.loss.item()).toFixed(4),(performance.now()-t).toFixed(0),"ms");}
console.log(step.info());
step.onTimings=(ts)=>{const m=new Map<string,[number,number]>();let tot=0;for(const t of ts){const e=m.get(t.label)??[0,0];e[0]+=t.duration;e[1]++;m.set(t.label,e);tot+=t.duration;}
 console.log("total",tot.toFixed(0)); for(const [l,[a,n]] of [...m].sort((x,y)=>y[1][0]-x[1][0]).slice(0,25)) console.log(a.toFixed(1).padStart(8),String(n).padStart(4),l.slice(0,150));};
await step(inp(ms.batch(2)));
device.close();
