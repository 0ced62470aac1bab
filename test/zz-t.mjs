import ts from 'typescript';
for (const f of process.argv.slice(2)) {
const c=ts.readConfigFile('/work/main/tsconfig.json',p=>ts.sys.readFile(p));
const {options}=ts.parseJsonConfigFileContent({...c.config,include:[],files:[]},ts.sys,'/work/main');
const p=ts.createProgram([f],{...options,declaration:false,noUnusedLocals:false,emitDecoratorMetadata:false}); p.getTypeChecker(); const c1=process.cpuUsage();
const d=p.getSemanticDiagnostics(p.getSourceFile(f)); const u=process.cpuUsage(c1); console.log(f,Math.round(u.user/1000), d.length);}
