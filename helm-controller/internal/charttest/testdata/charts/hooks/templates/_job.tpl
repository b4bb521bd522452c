{{/* A Job that is a hook. Call it with a dict of root, event, weight, policy. */}}
{{- define "hooks.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .root.Release.Name }}-{{ .event }}
  annotations:
    helm.sh/hook: {{ .event }}
    helm.sh/hook-weight: {{ .weight | quote }}
    {{- with .policy }}
    helm.sh/hook-delete-policy: {{ . }}
    {{- end }}
spec:
  backoffLimit: 0
  {{- if has .event .root.Values.fail }}
  activeDeadlineSeconds: 1
  {{- end }}
  template:
    spec:
      restartPolicy: Never
      {{- if or (has .event .root.Values.fail) (has .event .root.Values.hang) }}
      nodeSelector: {example.com/no-such-node: "true"}
      {{- end }}
      containers:
        - name: main
          image: example.com/job
          args: [{{ .root.Values.text | quote }}]
{{- end -}}
