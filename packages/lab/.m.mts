// Linear with NF4+DQ vs f32: forward + input gradient, wasm, one thread and arena
import { init, compile, ops, grad } from "@lowrank/tensor"; import { fourBit } from "@lowrank/quant"; import { Linear } from "@lowrank/nn";
const device = await init({device:"wasm", threads:1});
const [out,inn,b]=[3072,768,512]; const vals=Float32Array.from({length:out*inn},(_,i)=>Math.sin(i*i+1)*.05);
for (const k of ["f32","f16","nf4","nf4-plain"]) { const l=new Linear(inn,out,{bias:false});
 if(k.startsWith("nf4")) l.weight.form=fourBit({doubleQuantisation:k==="nf4"}).keep(device,"w",[out,inn],vals); else { l.weight.parameter=device.parameter(vals,[out,inn],k as any); if(k==="f16") l.weight.computesIn="f32"; }
 const step=compile(device,({x})=>{const y=l.forward(x!); return {dx:ops.sum(grad(ops.sum(ops.square(y)),[x!])[0]!)};});
 const x={data:vals.slice(0,b*inn),shape:[b,inn]}; for(let i=0;i<3;i++) await step({x}); const t=performance.now(); for(let i=0;i<8;i++) await (await step({x})).dx.item(); console.log(k,((performance.now()-t)/8).toFixed(1),"ms", "arena", step.plan({x:{shape:[b,inn],dtype:"f32"}}).arenaBytes); }
